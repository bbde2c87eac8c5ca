"""Joins the renderer and the recognizer: render, read back, measure, report."""
