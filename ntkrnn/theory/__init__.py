"""Learning theory of recurrent networks as functions: networks, concept classes, measures, bounds.

What the theorems speak of, in a form that can be computed; kernels and networks come as arguments.
"""
