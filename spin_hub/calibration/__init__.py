"""Calibration: sources give rows, rows become examples."""
