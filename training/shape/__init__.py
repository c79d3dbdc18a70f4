"""The shape sliders: fitted on labelled faces, measured by witnesses from outside."""
