"""The same facts as text and as JSON: what the command line prints, and the sentences that every face speaks."""
