"""What a process of the pool on Ray does: it holds the tagger, and makes parts.

What it raises travels as a row: Ray would log it, wrap it several times over, and add its own advice.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...errors import ExperimentError, GrammaskError
from .corpus_parts import Part
from .ray_nodes import Alike, node
from .write_part import Done, PartWriter


@dataclass(frozen=True)
class Worker:
    """Makes the parts of a batch; `nodes` is what each of several nodes must have, None for this machine alone."""

    write: PartWriter
    nodes: Alike | None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return for each part what `outcome` reads."""
        return {"outcome": [json.dumps(self._make(Part(**json.loads(part)))) for part in batch["part"]]}

    def _make(self, part: Part) -> dict[str, Any]:
        try:
            if self.nodes is not None:
                self.nodes.check(part.file)
            done = self.write.attempt(part)
        except GrammaskError as error:
            return {"raised": self._placed(str(error))}
        return asdict(replace(done, failed=self._placed(done.failed)) if done.failed else done)

    def _placed(self, said: str) -> str:
        return said if self.nodes is None else f"node {node()}: {said}"


def outcome(told: str) -> Done:
    """Return what came of a part; raises what the worker raised, as `ExperimentError`."""
    found = json.loads(told)
    if "raised" in found:
        raise ExperimentError(found["raised"])
    return Done(**found)
