"""What plan and apply have to do, said a second time and in another way: a model of the cluster in plain Python."""
