"""grammask's own attention, each backend under a plan that is ready, and what the planning takes."""

from collections.abc import Callable

from torch import Tensor

from ..attention.dispatch import Choice, explain_dispatch
from ..attention.functional import grammar_attention
from ..attention.make_plan import make_plan
from ..attention.plan import Plan
from .contender import Outputs, Ready, median_seconds
from .operator_inputs import Setting
from .settings import Backend


def ours(setting: Setting, backend: Backend) -> Ready:
    """One backend of `grammar_attention`. Its planning is measured by itself: a model plans once for all layers."""
    choice, call = guided(setting, backend)
    facts: dict[str, object] = {"planning_seconds": median_seconds(lambda: _prepare(setting, backend))}
    if backend == "auto":
        facts["note"] = str(choice)
    return Ready(call, exact=True, facts=facts)


def guided(setting: Setting, backend: Backend) -> tuple[Choice, Callable[[], Outputs]]:
    """Make a plan ready for a backend; return what a call takes, and the pass that uses the plan."""
    plan, choice = _prepare(setting, backend)
    return choice, setting.attend(lambda: _attend(setting, plan, backend))


def _new_plan(setting: Setting) -> Plan:
    annotation = setting.annotation
    return make_plan(
        setting.grammar,
        tag_ids=annotation["tag_ids"],
        word_ids=annotation["word_ids"],
        sentence_ids=annotation["sentence_ids"],
        strategy=setting.strategy,
        layers=1,
        heads=setting.shape[1],
    )


def _attend(setting: Setting, plan: Plan, backend: Backend) -> Tensor:
    annotation = setting.annotation
    return grammar_attention(
        setting.query,
        setting.key,
        setting.value,
        tag_ids=annotation["tag_ids"],
        word_ids=annotation["word_ids"],
        sentence_ids=annotation["sentence_ids"],
        grammar=setting.grammar,
        strategy=setting.strategy,
        plan=plan,
        backend=backend,
    )


def _prepare(setting: Setting, backend: Backend) -> tuple[Plan, Choice]:
    """Do all that a call with a new plan does before it attends; a sparse backend's blocks are made by the choice."""
    plan = _new_plan(setting)
    _, heads, _, head_dim = setting.shape
    choice = explain_dispatch(plan, heads=heads, head_dim=head_dim, backend=backend)
    if choice.backend == "dense":
        plan.mask(0, None, setting.query.dtype)
    return plan, choice
