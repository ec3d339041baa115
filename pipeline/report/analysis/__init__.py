"""Tables in, numbers out: intervals, tests, health, the choice. Not a sentence."""
