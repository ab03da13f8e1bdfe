// A clip from the camera, as a file.

import { $ } from "./dom.js";

let stream = null, recorder = null;

export function close() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = recorder = null;
  $("camera-view").srcObject = null;
  $("camera-box").hidden = true;
  $("camera-stop").disabled = true;
  $("camera-start").disabled = false;
}

export function start(take, complain) {
  $("camera").hidden = !navigator.mediaDevices?.getUserMedia || !window.MediaRecorder;
  $("camera").onclick = async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
    } catch (error) {
      complain(`The camera cannot be used: ${error.message}`);
      return;
    }
    $("camera-box").hidden = false;
    $("camera-view").srcObject = stream;
    await $("camera-view").play();
    $("camera-start").focus();
  };
  $("camera-start").onclick = () => {
    const parts = [];
    const kind = ["video/webm;codecs=vp8", "video/mp4"].find((type) => MediaRecorder.isTypeSupported(type)) ?? "";
    recorder = new MediaRecorder(stream, kind ? { mimeType: kind } : {});
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => {
      const type = recorder?.mimeType ?? kind;
      close();
      take([new File(parts, `camera.${type.startsWith("video/mp4") ? "mp4" : "webm"}`, { type })]);
    };
    recorder.start(250);
    $("camera-start").disabled = true;
    $("camera-stop").disabled = false;
    $("camera-stop").focus();
  };
  $("camera-stop").onclick = () => recorder?.stop();
  $("camera-close").onclick = () => {
    if (recorder) recorder.onstop = null;
    close();
  };
}
