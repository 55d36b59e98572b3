#!/usr/bin/python3
"""What a kubelet needs of systemd-logind to shut its node down with grace, on a bus of its own.

    hack/kubernetes/logind.py DIR

Starts a D-Bus daemon whose socket is DIR/bus (DBUS_SYSTEM_BUS_ADDRESS=unix:path=DIR/bus is for the kubelet), and on it
org.freedesktop.login1 with the two things that a kubelet asks for: how long it may delay, and a lock to do so. Nothing of
the machine is touched. Line by line on standard input: "down" says to all that the machine goes down, "up" that it stays.
On standard output: "ready", and for each lock "taken WHAT WHO MODE" and "released" when its last descriptor is closed.
Ends, with the bus, at the end of its input. Needs dbus-daemon, python3-dbus and python3-gi, which hack/cluster up installs.
"""
import os
import subprocess
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

LOGIND = "org.freedesktop.login1"
MANAGER = "org.freedesktop.login1.Manager"
# longer than any test lets its pods take: with less the kubelet would write to /etc/systemd
DELAY_MICROSECONDS = 600 * 1_000_000

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={bus}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


def say(*words):
    print(*words, flush=True)


class Manager(dbus.service.Object):
    """org.freedesktop.login1.Manager, as far as a kubelet uses it."""

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        if (interface, name) != (MANAGER, "InhibitDelayMaxUSec"):
            raise dbus.exceptions.DBusException(f"no property {interface}.{name}")
        return dbus.UInt64(DELAY_MICROSECONDS)

    @dbus.service.method(MANAGER, in_signature="ssss", out_signature="h")
    def Inhibit(self, what, who, _why, mode):
        ours, theirs = os.pipe()
        GLib.io_add_watch(ours, GLib.PRIORITY_DEFAULT, GLib.IO_HUP, self.released)
        say("taken", what, who, mode)
        lock = dbus.types.UnixFd(theirs)
        os.close(theirs)  # the message has one of its own
        return lock

    def released(self, ours, _condition):
        os.close(ours)
        say("released")
        return False

    @dbus.service.signal(MANAGER, signature="b")
    def PrepareForShutdown(self, start):
        pass


def start_bus(folder):
    """Starts the bus; answers the process once its socket is there."""
    bus, config = os.path.join(folder, "bus"), os.path.join(folder, "bus.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIG.format(bus=bus))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if not daemon.stdout.readline():
        sys.exit(f"dbus-daemon ended with {daemon.wait()}")
    return daemon, f"unix:path={bus}"


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    daemon, address = start_bus(sys.argv[1])
    try:
        dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
        loop = GLib.MainLoop()
        bus = dbus.bus.BusConnection(address)
        name = dbus.service.BusName(LOGIND, bus)
        manager = Manager(name, "/org/freedesktop/login1")

        def told(source, _condition):
            line = os.read(source, 64).decode().strip()
            for word in line.split():
                manager.PrepareForShutdown(word == "down")
            if line == "":
                loop.quit()
            return line != ""

        GLib.io_add_watch(0, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, told)
        say("ready")
        loop.run()
    finally:
        daemon.terminate()
        daemon.wait()


main()
