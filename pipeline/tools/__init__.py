"""DVC and git as programs, what DVC does not tell its caller, and what a killed DVC leaves behind."""
