"""What the libraries would say on the terminal, and our user need not read."""

import os


def quieten() -> None:
    """Set what the libraries read when they are loaded: no word of forks, load reports and bars of their own.

    What transformers logs as an error it raises too, and our one line says it.
    """
    quiet = {
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "critical",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
