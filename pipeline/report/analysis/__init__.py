"""Tables in, numbers out: what the study's runs say, without a sentence."""
