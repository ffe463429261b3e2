"""Distillation: a static student learns the labels that a teacher gives to a pile."""
