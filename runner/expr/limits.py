"""How much one rendering may cost: a hostile template ends with an error, not with the daemon."""

from __future__ import annotations

from time import thread_time

from runner.expr.faults import LimitFault

MAX_TEMPLATE = 20_000_000
"""Characters of one template."""
MAX_TOKENS = 500_000
"""Tokens of one template: a name, a sign, a string, a text between two islands."""
MAX_NESTING = 200
"""Brackets, tags and operands inside one another, while parsing."""
MAX_DEPTH = 250
"""Lists and maps inside one another, in a value that is written or compared."""
MAX_CHARACTERS = 100_000_000
"""Characters that one rendering may make, its own output and what is thrown away together."""
MAX_ITEMS = 5_000_000
"""List items and map entries that one rendering may make, write or compare."""
MAX_RANGE = 1_000_000
"""Items of one `range`, and rounds of all loops of one rendering together."""
MAX_ROUNDS = 100
"""Rounds of recursive rendering, and `render()` inside `render()`."""
MAX_SECONDS = 5.0
"""Processor time of one rendering. Waiting (for `http()`, for logs) does not count."""
MAX_INT_BITS = 13_000
"""Size of an integer: about 3,900 digits."""


class Budget:
    """What is left of the limits during one rendering (shared with what `render()` renders).

    `built` says that the template has made a list or map: only such values can share their parts
    with themselves, and be much larger written than they are in memory.
    """

    __slots__ = ("built", "characters", "depth", "items", "rounds", "until")

    def __init__(self) -> None:
        self.built = False
        self.characters = MAX_CHARACTERS
        self.items = MAX_ITEMS
        self.rounds = MAX_RANGE
        self.depth = 0
        self.until = 0.0

    def spend(self, characters: int) -> None:
        """Count `characters` that were made, or are about to be made."""
        self.characters -= characters
        if self.characters < 0:
            raise LimitFault(f"The expression makes more than {MAX_CHARACTERS} characters of text")

    def spend_items(self, items: int) -> None:
        """Count `items` of lists and maps that were made, written or compared."""
        before, self.items = self.items, self.items - items
        if self.items < 0:
            raise LimitFault(f"The expression handles more than {MAX_ITEMS} items")
        if before >> 14 != self.items >> 14:
            self.look_at_clock()

    def round(self) -> None:
        """Count one round of a loop, and look at the clock."""
        self.rounds -= 1
        if self.rounds < 0:
            raise LimitFault(f"The expression loops more than {MAX_RANGE} times")
        if not self.rounds & 63:
            self.look_at_clock()

    def look_at_clock(self) -> None:
        """Raise when the rendering has used up its processor time."""
        now = thread_time()
        if not self.until:
            self.until = now + MAX_SECONDS
        elif now > self.until:
            raise LimitFault(f"The expression takes more than {MAX_SECONDS:g} s to evaluate")
