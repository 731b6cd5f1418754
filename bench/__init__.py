"""Every figure that the README claims, measured beside its peer or against its limit.

``python -m bench`` runs all, ``python -m bench startup`` one. Machines are shared and noisy: what
counts are medians of ratios that were measured in turn, in the same run.
"""
