"""When the curvature of the loss stops to change."""

from harness.spec import Part
from tasks.base import Task, Visibility, declare

declare(
    Task(
        name="plateau/w30",
        version="1",
        question="After which epoch does the largest Hessian eigenvalue stand still, "
        "seen 30 % of the run?",
        kind="value",
        target=Part("plateau", {"signal": "lambda_1"}),
        unit="epochs",
        visibility=Visibility(until=0.3),
        metrics=("c_index",),
        requires=("lambda_1",),
    )
)
