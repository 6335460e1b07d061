"""What facts are made of: people, things with a name, and the sentences that say something of them.

All are this project's own. Nobody in them is real, so that no model can know an answer.
"""

from typing import Final

FIRST_NAMES: Final[tuple[str, ...]] = (
    "Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Henry", "Irene", "Jonas", "Karin", "Leon", "Maria",
    "Nina", "Oscar", "Paula", "Quentin", "Rosa", "Simon", "Teresa", "Ulrich", "Vera", "Walter", "Xenia", "Yusuf", "Zoe",
    "Arthur", "Bella", "Carlos", "Diana", "Emil", "Frida", "Gustav", "Helen", "Ivan", "Julia", "Kenneth", "Laura",
    "Martin", "Nora",
)  # fmt: skip
LAST_NAMES: Final[tuple[str, ...]] = (
    "Petrov", "Lindqvist", "Okafor", "Marlowe", "Castellan", "Brandt", "Ferreira", "Novak", "Hargreave", "Tanaka",
    "Olsen", "Whitfield", "Moreau", "Kowalski", "Abernathy", "Rossi", "Delacroix", "Vasquez", "Thornton", "Haddad",
    "Lombard", "Sorensen", "Keating", "Bianchi", "Osborne", "Yamada", "Winslow", "Carvalho", "Drummond", "Eriksen",
    "Fontaine", "Galloway", "Horvat", "Ibsen", "Jankovic", "Kendrick", "Lefevre", "Monteiro", "Nyman", "Prescott",
)  # fmt: skip
THINGS: Final[tuple[str, ...]] = (
    "Meridian", "Aurora", "Falcon", "Halcyon", "Juniper", "Kestrel", "Lantern", "Marigold", "Nautilus", "Orchid",
    "Pelican", "Quasar", "Raven", "Saffron", "Tempest", "Umbra", "Valiant", "Wanderer", "Zephyr", "Albatross",
    "Bluebell", "Corsair", "Dolphin", "Emerald", "Foxglove", "Gazelle", "Heron", "Ibis", "Jackdaw", "Kingfisher",
    "Lodestar", "Minotaur", "Nightjar", "Osprey", "Phoenix", "Ranger", "Swallow", "Trident", "Vesper", "Willow",
)  # fmt: skip
MONTHS: Final[tuple[str, ...]] = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip

# What a question says before its answer, by the kind of the answer; {} is a person, or a thing for a name.
CODE_QUESTIONS: Final[tuple[str, ...]] = (
    "The access code of {} is",
    "The locker number of {} is",
    "The account number of {} is",
)
NAME_QUESTIONS: Final[tuple[str, ...]] = (
    "The captain of the {} is called",
    "The {} is guarded by",
    "The {} was sold to",
)
DATE_QUESTIONS: Final[tuple[str, ...]] = ("The birthday of {} is", "The wedding day of {} is")
