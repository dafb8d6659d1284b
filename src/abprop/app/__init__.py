"""The command line and what it needs: recipes, runs, reports."""
