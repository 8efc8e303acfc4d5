"""Little films for the tests, made with FFmpeg itself and not with the package."""

from fractions import Fraction

import av
import numpy as np

RATE = 10
BEEP = 0.5  # seconds; there a white flash begins, and a tone with it


def gray(value, height=48, width=64):
    return np.full((height, width, 3), value, dtype=np.uint8)


def write_film(path, pictures, *, times=None, sound=None, rotate=None, aspect=None, codec="libx264"):
    """Writes RGB arrays as a film; times in hundredths of a second; `sound` names a codec."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE, options={"crf": "1"})
        video.height, video.width, video.pix_fmt = height, width, "yuv420p"
        video.codec_context.time_base = Fraction(1, 100)
        if rotate:
            video.set_display_rotation(rotate)
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        track = container.add_stream(sound, rate=48_000) if sound else None
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[index] if times else index * 100 // RATE
            frame.time_base = Fraction(1, 100)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if track:
            for frame in _tone(len(pictures) / RATE):
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path


def write_sound(path):
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=48_000)
        for frame in _tone(1):
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


def _tone(seconds):
    t = np.arange(int(48_000 * seconds)) / 48_000
    wave = (0.5 * np.sin(2 * np.pi * 440 * t) * (t >= BEEP)).astype(np.float32)
    for begin in range(0, len(wave), 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, begin : begin + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, begin, Fraction(1, 48_000)
        yield frame


def loud_from(path):
    """Second of a film at which its sound begins to be heard."""
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            loud = np.abs(frame.to_ndarray().reshape(-1, frame.samples)).max(0) > 0.1
            if loud.any():
                return frame.time + loud.argmax() / frame.sample_rate
    return None


def sound_packets(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]
