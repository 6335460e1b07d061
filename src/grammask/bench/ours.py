"""grammask's own attention: a pass of each backend under a finished plan, and how long planning takes."""

from collections.abc import Callable

from torch import Tensor

from ..attention.backends import TABLE, BackendName
from ..attention.choice import Choice
from ..attention.explain_dispatch import explain_dispatch
from ..attention.functional import grammar_attention
from ..attention.make_plan import make_plan
from ..attention.plan import Plan
from .contender import Outputs, Ready, median_seconds
from .operator_inputs import OperatorInputs
from .timing import finisher


def ours(inputs: OperatorInputs, backend: BackendName) -> Ready:
    """Prepare a backend of `grammar_attention`. Planning is timed apart: a model plans once for all its layers."""
    choice, call = guided(inputs, backend)
    facts: dict[str, object] = {"planning_seconds": median_seconds(lambda: _prepare(inputs, backend))}
    if backend == "auto":
        facts["note"] = str(choice)
    return Ready(call, exact=True, facts=facts)


def guided(inputs: OperatorInputs, backend: BackendName) -> tuple[Choice, Callable[[], Outputs]]:
    """Make a plan for a backend; return the backend that a call takes, and a pass that uses the plan."""
    plan, choice = _prepare(inputs, backend)
    return choice, inputs.attend(lambda: _attend(inputs, plan, backend))


def _new_plan(inputs: OperatorInputs) -> Plan:
    annotation = inputs.annotation
    return make_plan(
        inputs.grammar,
        tag_ids=annotation["tag_ids"],
        word_ids=annotation["word_ids"],
        sentence_ids=annotation["sentence_ids"],
        strategy=inputs.strategy,
        layers=inputs.layers,
        heads=inputs.shape[1],
    )


def _attend(inputs: OperatorInputs, plan: Plan, backend: BackendName) -> Tensor:
    annotation = inputs.annotation
    return grammar_attention(
        inputs.query,
        inputs.key,
        inputs.value,
        tag_ids=annotation["tag_ids"],
        word_ids=annotation["word_ids"],
        sentence_ids=annotation["sentence_ids"],
        grammar=inputs.grammar,
        strategy=inputs.strategy,
        layer=inputs.layer,
        causal=inputs.position.causal,
        window=inputs.position.window,
        plan=plan,
        backend=backend,
    )


def _prepare(inputs: OperatorInputs, backend: BackendName) -> tuple[Plan, Choice]:
    """Do all that a call with a new plan does before it attends; choosing makes the blocks of the CPU."""
    plan = _new_plan(inputs)
    _, heads, length, head_dim = inputs.shape
    choice = explain_dispatch(
        plan, heads=heads, key_heads=inputs.key.shape[1], head_dim=head_dim, layer=inputs.layer,
        causal=inputs.position.causal, window=inputs.position.window, backend=backend, device=inputs.query.device,
        dtype=inputs.query.dtype, training=inputs.gradient is not None,
    )  # fmt: skip
    if TABLE[choice.backend].kernel == "flex":
        plan.flex_calls(inputs.layer, inputs.position, length)
    if TABLE[choice.backend].kernel == "dense" and not plan.is_passing(inputs.layer, length):
        plan.mask(inputs.layer, None, inputs.query.dtype, inputs.position)
    finisher(inputs.query.device.type)()
    return plan, choice
