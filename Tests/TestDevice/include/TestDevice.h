// Nothing is called here: loading the library brings the device.
