"""From plain numbers to offline pages and figures."""
