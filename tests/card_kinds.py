"""Registered backbones to run tests over: one for each architecture, SAM and way of sharing it."""

from backbones.registry import get_card, list_backbones


def one_of_each():
    """Names of cards, the first of each kind; a new kind of card is among them without touching a test."""
    found = {}
    for name in list_backbones():
        card = get_card(name)
        found.setdefault((card.arch, card.attention, card.sharing if card.attention else None), name)
    return sorted(found.values())
