"""A page in the browser, `ean app`: predicts images with any trained model. Gradio is imported when it is built.

What a tab shows is its task's, `tasks/<task>/app.py` (see `transfer.task`): plain functions and a list of controls.
"""
