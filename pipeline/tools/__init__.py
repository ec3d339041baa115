"""DVC and git as programs, what DVC does not report to its caller, and what a killed DVC leaves behind."""
