"""Grading finished work: rubrics put to a judge, verdicts that must make sense, and what they come to."""
