"""What each number and label of the report means, in a sentence, with the thresholds in force. Pure."""

from pipeline.params import ReportParams
from pipeline.report.analysis.status import SCATTERED
from pipeline.report.text import wording

_CRITERIA = {
    "best_epoch": "A run's highest {} accuracy over all its epochs. Picking the best of many epochs flatters "
    "every run a little, and unsteady ones more; the final accuracy beside it does not.",
    "last_epoch": "A run's {} accuracy after its last epoch: that of the network it saved.",
}


def meanings(params: ReportParams, criterion: str, held_out: str) -> tuple[tuple[str, str], ...]:
    """Term and meaning, in the order of the page.

    Args:
        criterion: what rates are compared by, in words.
        held_out: `validation` or `test`: what the accuracies are measured on.
    """
    level, out = wording.share(params.confidence), wording.share(params.diverged_share)
    health = params.health
    end = f"last {wording.share(health.window)} of the epochs"
    return (
        (criterion.capitalize(), _CRITERIA[params.criterion].format(held_out)),
        (
            f"{level} interval",
            "Student's t interval for the mean over seeds: in so many of studies like this one it holds "
            "the mean that endless seeds would give. It says nothing about other images. It is meant for a "
            "rate fixed beforehand: choosing the highest of several means flatters the chosen one, and its "
            "interval holds the truth less often, the more so the more rates are about as good.",
        ),
        (
            "Not told apart",
            "A rate that may be the best: no other rate beats it in a one-sided paired t test over the "
            f"seeds, at the {level} level corrected for the number of rates. The set of these rates holds "
            f"the truly best one in at least {level} of studies. With few seeds it is large; that is "
            "honest, not weak.",
        ),
        (
            SCATTERED.capitalize(),
            "Not told apart by that test, but with a mean more than a point below the chosen rate's: its "
            "seeds scatter too much for so few of them to call it worse.",
        ),
        (
            "p that it is best",
            "The corrected p-value of that test; below "
            f"{1 - params.confidence:.2g} the rate is called worse.",
        ),
        (
            "Best in bootstrap",
            "Share of studies, made of this one by drawing its seeds again, in which the rate has the "
            "highest mean. With few seeds it is coarse, and too sure of itself.",
        ),
        (
            "Infeasible",
            f"A rate is out if more than {out} of its runs diverged. Such a run has no accuracy, whatever "
            "it reached before.",
        ),
        (
            "Pairs",
            "Differences on the same seeds, which share initial weights and shuffles. Intervals hold for "
            'all pairs at once (Bonferroni); p-values are corrected alike. That asks for more than "may '
            'it be the best?", so that a rate can be worse although its pair is not told apart here.',
        ),
        (
            "McNemar's test",
            "Counts the test images that only one of two networks gets right, and asks whether a fair coin "
            "could have split them so. Over seeds: twice the median p-value, which holds however much the "
            "seeds agree. It chooses nothing.",
        ),
        (
            "Roughness",
            "How much the training loss goes up on its way down: the sum of its rises over the sum of its "
            "falls, in log loss. 0 never rises; 1 goes nowhere.",
        ),
        ("Rising epochs", "Share of the epochs whose training loss lies above that of the epoch before."),
        (
            "Diverged",
            f"The loss became NaN or infinite, or ended {health.diverged_growth:g} times above its first "
            "epoch's.",
        ),
        (
            "Stuck",
            f"Over the {end} the training loss no longer falls (less than "
            f"{wording.share(health.flat_fall)}), on a plateau above "
            f"{wording.share(health.stuck_loss)} of the loss of blind guessing.",
        ),
        (
            "Oscillating",
            f"The training loss rises in {wording.share(health.oscillating_share)} of the epochs or "
            f"more, typically by {wording.share(health.oscillating_rise)} or more.",
        ),
        (
            "Recovered from a spike",
            f"The training loss jumped to {health.spike_factor:g} times its lowest so far, and came back "
            "below it.",
        ),
        (
            "Overfitting",
            f"The {held_out} loss ends {wording.share(health.overfitting_rise)} or more above its "
            "lowest, while the training loss went on falling.",
        ),
        (
            "Still improving",
            f"Over the {end} the {held_out} loss falls by {wording.share(health.flat_fall)} or more, "
            "too steadily for chance.",
        ),
        (
            "Unsettled",
            f"The {held_out} loss falls by so much as well, but too unsteadily to say that it goes on.",
        ),
        ("Converged", "None of these: the loss fell without incident and has settled."),
    )
