"""Networks that can be studied, one file each, as `network.file` of params.yaml names them."""
