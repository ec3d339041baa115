"""Stage `report`: compare the runs, choose a rate, say why, and draw it all."""
