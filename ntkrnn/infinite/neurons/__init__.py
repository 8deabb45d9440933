"""Diagonal networks: expectations over one neuron by quadrature or Sobol points."""
