"""Where pictures come from: bags, webcams and the network; files are in `virst_model.frames`."""
