package parse

import (
	"reflect"
	"strings"
	"testing"
)

// check compares what a parser gives, and sees that it knows another service's output.
func check[T any](t *testing.T, name string, parse func([]byte) (T, error), text string, want T) {
	t.Helper()
	got, err := parse([]byte(text))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, want)
	}
	if _, err := parse([]byte("another service's text\n  with: lines\n")); err == nil {
		t.Errorf("%s: another text was read", name)
	}
	if _, err := parse([]byte("Can't find service: " + name + "\n")); err == nil {
		t.Errorf("%s: a missing service was read", name)
	}
}

const (
	compatDump = `ChangeId(168419799; name=DOWNSCALED; disabled; packageOverrides={org.example.a=true}; rawOverrides={org.example.a=true, org.example.gone=false}; overridable)
ChangeId(3; enableSinceTargetSdk=30)
ChangeId(x; rawOverrides={a.b=true})
ChangeId(4; rawOverrides={a.b=PackageOverride@1, c.d=true};)
`
	trustDump = `Trust manager state:
 User "x (id=7) Enabled agents:" (id=0, flags=0x13) (current): trusted=0, trustManaged=1
   Enabled agents:
    com.google.android.gms/.auth.trustagent.GoogleTrustAgent
     bound=1, connected=1, managingTrust=1, trusted=0
   Events:
    #0  00:00 a.b/.C: granted
 User "work" (id=10, flags=0x1030) (managed profile)
   Enabled agents:
    com.example.w/.T
     bound=0, connected=0, managingTrust=0, trusted=0
`
	idleDump = `  Settings:
    inactive_to=+30m0s0ms
  Whitelist (except idle) system apps:
    com.android.vending
  Whitelist system apps:
    com.android.shell
  Whitelist user apps:
    org.example.tracker
  Whitelist all app ids:
    2000
  mLightEnabled=false  mDeepEnabled=false
`
	projectionDump = "MEDIA PROJECTION MANAGER (dumpsys media_projection)\nMedia Projection: \n(org.example.rec, uid=10123): TYPE_SCREEN_CAPTURE\n"
	webviewDump    = `Current WebView Update Service state
  Current WebView package (name, version): (com.android.chrome, 120.0.1)
  WebView packages:
    Valid package com.android.chrome (versionName: 120.0.1, versionCode: 609900000, targetSdkVersion: 34) is  installed/enabled for all users
    Invalid package com.example.webview (versionName: 1.0, versionCode: 1, targetSdkVersion: 21), reason: No WebView-library manifest flag
    com.chrome.beta is NOT installed.
`
	diskDump = `Latency: 0ms [512B Data Write]
Data-Free: 5797352K / 6094400K total = 95% free
Package Names: ["org.example.a","org.example.b","not a name"]
App Sizes: [100,200,3]
App Data Sizes: [10]
Cache Sizes: [1,2,3]
`
	mountDump = `Disks:
  DiskInfo{disk:179,0}:
    flags=SD size=1 label=SANDISK 
Volumes:
  VolumeInfo{public:179,1}:
    type=PUBLIC diskId=disk:179,0 partGuid= mountFlags=VISIBLE mountUserId=0 state=MOUNTED 
    fsType=vfat fsUuid=15E3-101E fsLabel=SECRET LABEL 
    path=/storage/15E3-101E internalPath=/mnt/media_rw/15E3-101E 
  VolumeInfo{emulated}:
    type=EMULATED diskId=null state=UNMOUNTED 
    fsType=null fsUuid=null fsLabel=null 

Records:
    type=PUBLIC
`
	telephonyDump = `last known state:
  Phone Id=0
    mCallState=0
    mCallIncomingNumber=+491701234567
    mServiceState={mVoiceRegState=0(IN_SERVICE), mDataRegState=1(OUT_OF_SERVICE), mVoiceRoamingType=home, mDataRoamingType=international, mRilVoiceRadioTechnology=0(Unknown), mRilDataRadioTechnology=0(Unknown), mNetworkRegistrationInfos=[NetworkRegistrationInfo{ domain=PS transportType=WWAN accessNetworkTechnology=NR }, NetworkRegistrationInfo{ domain=CS transportType=WWAN accessNetworkTechnology=GSM }]}
  Phone Id=1
    mServiceState={mVoiceRegState=3(POWER_OFF), mDataRegState=3(POWER_OFF), getRilVoiceRadioTechnology=14(LTE), getRilDataRadioTechnology=14(LTE)}
local logs:
    mServiceState={mVoiceRegState=0(IN_SERVICE)}
`
	isubDump = `SubscriptionController:
 defaultSubId=1
++++++++++++++++++++++++++++++++
 ActiveSubInfoList:
  {id=1, iccId=890141032[****] simSlotIndex=0 displayName=X isEmbedded false}
  [SubscriptionInfo: id=2 iccId= simSlotIndex=1 isEmbedded=true]
++++++++++++++++++++++++++++++++
 AllSubInfoList:
  {id=1, iccId=890141032[****] simSlotIndex=0}
  {id=2, iccId= simSlotIndex=1}
  {id=3, iccId=8 simSlotIndex=-1}
++++++++++++++++++++++++++++++++
  {id=9, logged}
`
	jobsDump = `Settings:
  x=1
Registered 3 jobs:
  JOB #u0a12/800: bb1ec8d org.example/.Job
    JobInfo:
  JOB #u0a12/801: bb1ec8d org.example/.Job
  JOB #1000/1: aa android/.X
  JOB #broken/1: aa
Connectivity:
  JOB #u0a99/1: aa
`
	processesDump = `ACTIVITY MANAGER RUNNING PROCESSES (dumpsys activity processes)
  All known processes:
  *APP* UID 10034 ProcessRecord{42ac59a 2203:org.example.a:remote/u0a34}
    user #0 uid=10034 gids={50034}
    packageList={org.example.a, org.example.shared}
    curProcState=4 repProcState=4
    foregroundServices=true foregroundActivities=false
  *PERS* UID 1001 ProcessRecord{1 0:com.android.phone/1001}
    mCurProcState=0
  *APP* UID x ProcessRecord{1 2:bad/1}
  Process LRU list:
    packageList={not.here}
ACTIVITY MANAGER SERVICES (dumpsys activity services)
  User 0 active services:
  * ServiceRecord{4432b25 u10 org.example.a/.Sync c:org.example.a}
    app=ProcessRecord{8533fdc 2478:org.example.a/u10a8}
    isForeground=true foregroundId=1
    startRequested=true delayedStop=false
  * ServiceRecord{1 u0 broken}
    isForeground=true
  Connection bindings to services:
`
	netstatsDump = `Active interfaces:
  iface=wlan0 ident=[{type=WIFI, networkId=" uid=5 tag=0x0", metered=false}]
Xt stats:
  ident=[] uid=-1 set=ALL tag=0x0
      st=1 rb=5 rp=1 tb=6 tp=1 op=0
UID stats:
  Pending bytes: 0
  ident=[{type=WIFI, networkId=" uid=5 tag=0x0"}] uid=10034 set=DEFAULT tag=0x0
    NetworkStatsHistory: bucketDuration=7200
      st=1565784000 rb=100 rp=1 tb=20 tp=1 op=0
      st=1565784001 rb=4500000000000000000 rp=1 tb=3 tp=1 op=0
      st=1565784002 rb=4500000000000000000 rp=1 tb=0 tp=1 op=0
      st=1565784003 rb=4500000000000000000 rp=1 tb=0 tp=1 op=0
  ident=[] uid=10034 set=FOREGROUND tag=0x0
      bucketStart=1 activeTime=1 rxBytes=1000 rxPackets=1 txBytes=7 txPackets=1
  ident=[] uid=10034 set=DEFAULT tag=0x5
      st=1 rb=777 rp=1 tb=777 tp=1 op=0
UID tag stats:
  ident=[] uid=10099 set=DEFAULT tag=0x0
      st=1 rb=1 rp=1 tb=1 tp=1 op=0
`
)

func TestSmallServices(t *testing.T) {
	t.Parallel()
	check(t, "platform_compat", CompatOverrides, compatDump, []CompatOverride{
		{Change: 168419799, Name: "DOWNSCALED", Package: "org.example.a", Enabled: true, Line: 1}, {Change: 168419799, Name: "DOWNSCALED", Package: "org.example.gone", Line: 1},
		{Change: 4, Package: "c.d", Enabled: true, Line: 4}})
	check(t, "trust", TrustAgents, trustDump, []TrustAgent{
		{Component: "com.google.android.gms/com.google.android.gms.auth.trustagent.GoogleTrustAgent", Bound: true, Managing: true, Line: 4},
		{User: 10, Component: "com.example.w/com.example.w.T", Line: 10}})
	check(t, "deviceidle", PowerExemptions, idleDump, []PowerExemption{{"com.android.vending", "system-excidle", 4}, {"com.android.shell", "system", 6}, {"org.example.tracker", "user", 8}})
	check(t, "deviceidle list", PowerExemptions, "system-excidle,com.a,10001\nuser,org.example.b,10123\n", []PowerExemption{{"com.a", "system-excidle", 1}, {"org.example.b", "user", 2}})
	check(t, "media_projection", ScreenCaptures, projectionDump, []ScreenCapture{{Package: "org.example.rec", UID: 10123, Kind: "screen capture", Line: 3}})
	check(t, "media_projection none", ScreenCaptures, "MEDIA PROJECTION MANAGER (dumpsys media_projection)\nMedia Projection: \nnull\n", nil)
	check(t, "webviewupdate", WebView, webviewDump, WebViewState{Package: "com.android.chrome", Version: "120.0.1", Providers: []WebViewProvider{
		{Package: "com.android.chrome", Valid: true, Version: "120.0.1", VersionCode: 609900000, Enabled: true, Line: 4},
		{Package: "com.example.webview", Version: "1.0", VersionCode: 1, Line: 5}}})
	check(t, "diskstats", AppSizes, diskDump, []AppSize{{"org.example.a", 100, 10, 1}, {"org.example.b", 200, -1, 2}})
	check(t, "mount", StorageVolumes, mountDump, []StorageVolume{
		{ID: "public:179,1", Type: "PUBLIC", State: "MOUNTED", FSType: "vfat", Path: "/storage/15E3-101E", Line: 5}, {ID: "emulated", Type: "EMULATED", State: "UNMOUNTED", Line: 9}})
	check(t, "telephony.registry", RadioStates, telephonyDump, []RadioState{
		{Voice: "IN_SERVICE", Data: "OUT_OF_SERVICE", VoiceRT: "GSM", DataRT: "NR", Roaming: true, Line: 5},
		{Phone: 1, Voice: "POWER_OFF", Data: "POWER_OFF", VoiceRT: "LTE", DataRT: "LTE", Line: 7}})
	check(t, "isub", Subscriptions, isubDump, SIMs{Active: 2, Known: 3, Embedded: 1, Cards: 1})
	check(t, "isub of 14", Subscriptions, "SubscriptionManagerService:\n  Active subscriptions:\n    [SubscriptionInfoInternal: id=2 iccId=89014[****] simSlotIndex=0 isEmbedded=1 number=+49]\n\n  All subscriptions:\n    [SubscriptionInfoInternal: id=2 iccId=8]\n",
		SIMs{Active: 1, Known: 1, Embedded: 1, Cards: 1})
	check(t, "jobscheduler", JobCounts, jobsDump, []AppJobs{{1000, 1}, {10012, 2}})
	check(t, "activity processes", ActivityProcesses, processesDump, []AppProcess{
		{PID: 2203, UID: 10034, Process: "org.example.a:remote", Packages: []string{"org.example.a", "org.example.shared"}, State: 4, Foreground: true, Line: 3},
		{UID: 1001, Process: "com.android.phone", Persistent: true, State: 0, Line: 8}})
	check(t, "activity services", ActivityServices, processesDump, []RunningService{{User: 10, Component: "org.example.a/org.example.a.Sync", PID: 2478, Foreground: true, Started: true, Line: 15}})
	check(t, "netstats", AppTraffics, netstatsDump, []AppTraffic{{UID: 10034, Received: 1<<63 - 1, Sent: 30}})
}

func TestAppSizesDamaged(t *testing.T) {
	t.Parallel()
	if got, err := AppSizes([]byte("Latency: 0ms\n")); err != nil || got != nil {
		t.Errorf("%v %v", got, err)
	}
	if got, err := AppSizes([]byte("Latency: 0ms\nPackage Names: [\"a.b\"\n")); err == nil {
		t.Errorf("%v", got)
	}
}

func FuzzSmallServices(f *testing.F) {
	for _, s := range []string{compatDump, trustDump, idleDump, projectionDump, webviewDump, diskDump, mountDump, telephonyDump, isubDump, jobsDump, processesDump, netstatsDump} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		overrides, _ := CompatOverrides(b)
		for _, o := range overrides {
			if !isPackage(o.Package) {
				t.Errorf("%+v", o)
			}
		}
		exempt, _ := PowerExemptions(b)
		for _, e := range exempt {
			if !isPackage(e.Package) || e.By == "" {
				t.Errorf("%+v", e)
			}
		}
		traffic, _ := AppTraffics(b)
		for _, a := range traffic {
			if a.Received < 0 || a.Sent < 0 {
				t.Errorf("%+v", a)
			}
		}
		agents, _ := TrustAgents(b)
		for _, a := range agents {
			if strings.Count(a.Component, "/") < 1 {
				t.Errorf("%+v", a)
			}
		}
		ScreenCaptures(b)
		WebView(b)
		AppSizes(b)
		StorageVolumes(b)
		RadioStates(b)
		Subscriptions(b)
		JobCounts(b)
		ActivityProcesses(b)
		ActivityServices(b)
	})
}
