"""What is known of sensors, as data: names of bands, wavelengths, resolutions, classes, flags and special values.

A new sensor is a module of tables here. Nothing else in the core names one.
"""
