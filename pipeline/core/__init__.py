"""What several stages share. A change here retrains everything, so it is small."""
