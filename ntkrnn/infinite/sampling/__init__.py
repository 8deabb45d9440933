"""Any cell with matrices: kernels that are products of features of random networks."""
