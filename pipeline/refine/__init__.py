"""Command `refine`: the study that follows its own advice, step by step, until the verdict is settled."""
