"""What planton may do in a cluster, asked before anything is written."""
