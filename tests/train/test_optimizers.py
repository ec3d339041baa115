"""What params.yaml says of an optimizer reaches Keras; Adam in one operation is Keras' Adam."""

from typing import Any, get_args

import keras
import numpy as np
import pytest
from pydantic import TypeAdapter

from pipeline.params.optimizers import Optimizer
from pipeline.train import optimizers

MEMBERS = get_args(get_args(Optimizer)[0])
OTHER = {  # than every default
    "beta_1": 0.8, "beta_2": 0.95, "centered": True, "epsilon": 1e-5, "global_clipnorm": 2.0,
    "momentum": 0.7, "rho": 0.6, "weight_decay": 0.03,
}  # fmt: skip


def names(member: Any) -> tuple[str, ...]:
    return get_args(member.model_fields["name"].annotation)


CASES = [
    (name, value)
    for member in MEMBERS
    for name in names(member)
    for value in [*sorted(set(member.model_fields) - {"name", "nesterov"}), None]
]


def make(**values: Any) -> Any:
    return optimizers.make(TypeAdapter(Optimizer).validate_python(values))


@pytest.mark.parametrize(("name", "value"), CASES)
def test_every_value_reaches_keras_and_what_is_left_out_is_keras_own(name: str, value: str | None) -> None:
    changes = {value: OTHER[value]} if value else {}
    got = make(name=name, **changes).get_config()
    plain = vars(keras.optimizers)[type(make(name=name)).__name__](learning_rate=0.0).get_config()
    changed = {key for key in set(plain) - {"name"} if got[key] != plain[key]}
    along = {"adam_weight_decay"} if name == "muon" and value == "weight_decay" else set()
    assert changed == set(changes) | along
    assert all(got[key] == OTHER[value] for key in changed)


@pytest.mark.parametrize(("name", "plain"), [("sgd", False), ("muon", True)])
def test_nesterov_s_momentum_can_be_chosen(name: str, plain: bool) -> None:
    assert make(name=name).nesterov is plain
    assert make(name=name, momentum=0.5, nesterov=not plain).nesterov is not plain


@pytest.mark.parametrize(
    "values", [{}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}, {"weight_decay": 0.1}]
)
def test_adam_in_one_operation_is_keras_adam_to_rounding(values: dict[str, float]) -> None:
    generator = np.random.default_rng(0)
    start = generator.normal(size=(5, 3)).astype(np.float32)
    ours, theirs = keras.Variable(start), keras.Variable(start)
    fused, plain = make(name="adam", **values), keras.optimizers.Adam(0.0, **values)
    for optimizer, variable in ((fused, ours), (plain, theirs)):
        optimizer.build([variable])
    for rate in (0.1, 0.01, 0.1):
        gradient = generator.normal(size=(5, 3)).astype(np.float32)
        for optimizer, variable in ((fused, ours), (plain, theirs)):
            optimizer.learning_rate.assign(rate)
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    assert not np.allclose(start, ours.numpy(), atol=0.01)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
