"""What training costs, each figure beside what it is measured against, in one run."""
