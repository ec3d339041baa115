"""The networks that can be studied, one file each: `build(...)` gives a Keras model."""
