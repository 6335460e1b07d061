"""Classification tasks: built in, from files, or from the Hub."""
