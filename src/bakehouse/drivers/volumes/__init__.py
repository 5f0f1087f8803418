"""Volume stores: qcow2 layers in a directory, and a fake of nothing but sizes. One contract, one set of tests."""
