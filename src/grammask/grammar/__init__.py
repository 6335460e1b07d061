"""The language of grammars and its meaning: tags, rules, files, and the masks that they define."""
