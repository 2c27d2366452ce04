"""What stands on the screen, as plain lines: functions of values, without Textual."""
