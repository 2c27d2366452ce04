"""Why things are as they are on a host: rules held against what is known of it, as values. No sentences."""
