"""How well a model does: on synthetic scenes, and on data sets with their own protocols."""
