"""Stage `train`: one network, trained at one learning rate from one seed."""
