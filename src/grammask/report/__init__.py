"""From the numbers of an experiment to one offline HTML file."""
