"""Objects and what is there -> a plan, and the plan carried out."""
