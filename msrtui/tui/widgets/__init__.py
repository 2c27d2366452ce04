"""Widgets: values in, messages out. They know neither the app nor KVM nor snapshots."""
