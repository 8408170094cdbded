"""JPEG (ITU-T T.81) as numbers: quantisation tables, coefficients, and the transform between these and pixels."""
