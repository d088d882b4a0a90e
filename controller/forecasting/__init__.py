"""Forecasts of heat and outdoor air: an ensemble of experts per series, chosen by rolling skill, with calibrated bands.

`bank` learns thousands of series at once, `ahead` forecasts them, `experts` are the guesses, `calibration` the bands,
`jobs` what the scheduler knows, `coherence` makes parts and totals agree, `cycle` ties them to a site.
"""
