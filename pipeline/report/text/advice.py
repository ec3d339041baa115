"""What the study leaves open, in sentences, and the lines for params.yaml."""

from pipeline.report.analysis import grid
from pipeline.report.analysis.grid import Advice
from pipeline.report.analysis.verdict import Verdict
from pipeline.report.text import wording


def findings(advice: Advice, verdict: Verdict) -> list[str]:
    """Say what is open; nothing if nothing is."""
    if verdict.learning_rate is None:
        return ["Every rate diverged: the grid lies too high."]
    chosen, seeds, sentences = verdict.learning_rate, len(verdict.seeds), []
    name = wording.rate(chosen)
    if len(verdict.rates) == 1:
        sentences.append("The grid has one rate: there is nothing to compare it with.")
    for edge in advice.edges:
        lowest = edge == verdict.rates[0].learning_rate
        end, beyond = ("lowest", "below") if lowest else ("highest", "above")
        sentences.append(
            f"The chosen rate is the {end} of the grid: a better one may lie {beyond} it."
            if edge == chosen
            else f"The {end} rate, {wording.rate(edge)}, is not distinguishable from the best: the range of "
            f"good rates may go on {beyond} it."
        )
    if advice.gaps:
        factors = wording.listed([f"{round(grid.factor(chosen, gap), 1):g}" for gap in advice.gaps])
        sentences.append(
            f"From {name} to {wording.rates(advice.gaps)} the rate changes by a factor of {factors}: the best "
            "may lie between."
        )
    if advice.seeds and verdict.near:
        rates = f"{wording.counted(len(verdict.near), 'rate')} {'is' if len(verdict.near) == 1 else 'are'}"
        sentences.append(
            f"{rates} not distinguishable from the best with {seeds} seeds: more seeds narrow the intervals."
        )
    elif advice.seeds:
        sentences.append("One seed gives no interval: with more seeds, rates can be distinguished.")
    if advice.epochs:
        sentences.append(
            f"At {name} most runs were still improving after epoch {verdict.setting.epochs}: train longer "
            "before trusting the comparison."
        )
    return sentences


def lines(advice: Advice) -> str:
    """Write what to paste over those of params.yaml, as YAML; DVC then trains only what is new."""
    values = {
        "learning_rates": advice.rates and [wording.rate(rate) for rate in advice.rates],
        "seeds": advice.seeds and [str(seed) for seed in advice.seeds],
    }
    keys = {key: f"[{', '.join(items)}]" for key, items in values.items() if items}
    keys |= {"epochs": str(advice.epochs)} if advice.epochs else {}
    return "train:\n" + "".join(f"  {key}: {value}\n" for key, value in keys.items()) if keys else ""
